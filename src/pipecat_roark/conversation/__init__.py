"""The conversation: what was said and done, from the events of a call to its report.

Private to the library; `state.CallState` is its door. Pure: no Pipecat, no I/O.
"""
