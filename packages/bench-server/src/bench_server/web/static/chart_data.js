// Lines as uPlot takes them. Pure.
"use strict";

const chartData = (() => {
  // What tells each line from the others: run, attempt, rank, where they differ.
  function named(lines) {
    const differ = (field) => new Set(lines.map((line) => line[field])).size > 1;
    const parts = [["run", (line) => line.run], ["attempt", (line) => `attempt ${line.attempt}`], ["rank", (line) => `rank ${line.rank}`]];
    const told = parts.filter(([field]) => differ(field));
    const seen = {};
    return lines.map((line) => {
      const name = told.map(([, text]) => text(line)).join(", ") || line.run;
      seen[name] = (seen[name] || 0) + 1;
      return seen[name] > 1 ? `${name} (${seen[name]})` : name;
    });
  }

  // An exponential mean that does not lean to its first value; steps apart count as much as steps beside.
  function smoothed(values, weight) {
    if (!weight) return values;
    let mean = 0, share = 0;
    return values.map((value) => {
      if (value === null || !Number.isFinite(value)) return value;
      mean = weight * mean + (1 - weight) * value;
      share = weight * share + (1 - weight);
      return mean / share;
    });
  }

  // For each line three rows of y: its values, and the least and the greatest of each column.
  function tables(lines, { smooth, log }) {
    const known = (values) => (log ? values.map((value) => (value > 0 ? value : null)) : values);
    const made = lines.map((line) => [line.steps, known(smoothed(line.last, smooth)), known(line.min), known(line.max)]);
    return made.length > 1 ? uPlot.join(made, made.map((table) => table.map(() => 1))) : made[0] || [[]];
  }

  function number(value) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3).replace("e+", "e");
    return String(Number(value.toPrecision(5)));
  }

  // A mark of an axis: as short as it can be.
  function mark(value) {
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return Number(value.toPrecision(4)).toExponential().replace("e+", "e");
    return String(Number(value.toPrecision(6)));
  }

  // Which of the colours each line has: a run's own, where there are several.
  function colours(lines) {
    const runs = new Set(lines.map((line) => line.from.place));
    return lines.map((line, place) => (runs.size > 1 ? line.from.place : place) % 8);
  }

  return { colours, mark, named, tables, number };
})();
