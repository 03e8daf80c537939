"""What trainings say of themselves, on its way to the server (docs/tracking.md).

files        a folder's files of records, read at their borders
shipping     one thread sends what is new of all of them
system       the agent's own records: what the machine does
checkpoints  those of a run that was started elsewhere, whole or not at all
outside      `python -m bench_agent track FOLDER`: of a run that was started elsewhere
"""
