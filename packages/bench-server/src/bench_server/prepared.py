"""Queries that every call makes, with their SQL made once.

Django makes a query's SQL anew each time, which takes it ten times as long as SQLite takes to answer. What
is kept here is what `django.db.models.query.ModelIterable` works out for each query; that is no public
interface of Django, whose minor version is fixed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators

Row = TypeVar("Row", bound=Model)


class Prepared(Generic[Row]):
    """The first of the rows that have these values.

    Args:
        rows: Of one model, in an order if there can be more than one; `select_related` is heeded.
        fields: What is compared, such as "project_id" or "name__gt".
    """

    def __init__(self, rows: QuerySet[Row], *fields: str) -> None:
        self._rows, self._fields = rows, fields
        self._plan: _Plan | None = None

    def first(self, *values: Any) -> Row | None:
        """The first row, or None. See `some`."""
        return next(iter(self.some(1, *values)), None)

    def some(self, count: int, *values: Any) -> list[Row]:
        """So many rows, or as many as there are.

        Args:
            count: How many at most.
            values: One for each field; none is None.
        """
        try:
            plan = self._plan = self._plan or self._make(values)
            with connection.cursor() as cursor:
                cursor.execute(f"{plan.sql} LIMIT {count:d}", plan.parameters(values))
                return [plan.build(list(row)) for row in cursor.fetchall()]
        except (EmptyResultSet, OverflowError):  # a number that is too large for the field: no row has it
            return []

    def _make(self, values: tuple[Any, ...]) -> "_Plan":
        rows = self._rows
        for field, value in zip(self._fields, values, strict=True):
            rows = rows.filter(**{field: value})
        compiler = rows.query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        plan = _plan(compiler, sql, rows.query.where.children[-len(values) :])
        assert [*map(_bare, plan.parameters(values))] == [*map(_bare, parameters)]
        return plan


@dataclass(frozen=True, kw_only=True)
class _Plan:
    sql: str
    prepare: list[Callable[..., Any]]
    convert: list[tuple[int, Any, list[Callable[..., Any]]]]
    model: type[Model]
    columns: slice
    names: list[str]
    related: list[Any]
    annotations: dict[str, int]

    def parameters(self, values: tuple[Any, ...]) -> list[Any]:
        pairs = zip(self.prepare, values, strict=True)
        return [prepare(value, connection) for prepare, value in pairs]

    def build(self, row: list[Any]) -> Any:
        for at, expression, converters in self.convert:
            for convert in converters:
                row[at] = convert(row[at], expression, connection)
        found = self.model.from_db(connection.alias, self.names, row[self.columns])
        for related in self.related:
            related.populate(row, found)
        for name, at in self.annotations.items():
            setattr(found, name, row[at])
        return found


def _bare(parameter: Any) -> Any:
    """A parameter without what psycopg puts around bytes, which is equal to itself alone."""
    return getattr(parameter, "obj", parameter)


def _plan(compiler: Any, sql: str, lookups: list[Any]) -> _Plan:
    expressions = [column for column, *_ in compiler.select]
    converters = compiler.get_converters(expressions)
    own = compiler.klass_info["select_fields"]
    columns = slice(own[0], own[-1] + 1)
    return _Plan(
        sql=sql,
        prepare=[lookup.lhs.output_field.get_db_prep_value for lookup in lookups],
        convert=[(at, expression, found) for at, (found, expression) in converters.items()],
        model=compiler.klass_info["model"],
        columns=columns,
        names=[expression.target.attname for expression in expressions[columns]],
        related=get_related_populators(  # type: ignore[call-arg]  # the types are those of a later Django
            compiler.klass_info, compiler.select, connection.alias
        ),
        annotations=compiler.annotation_col_map,
    )
