"""The first process of an attempt's container, `python -I -m bench_agent run`; the training is its child.

entry        what happens, in order
attempt      attempt.json
private      the token and the secrets
training     the child: its start, its signals, its end and that of all it leaves behind
spool        the training's output on the disk
masking      no secret is sent
shipping     the spool goes to the server
heartbeat    the server knows that the agent is there
outcome      exit.json
"""
