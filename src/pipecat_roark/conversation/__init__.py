"""The conversation: what was said and done, from the events of a call to its report.

Private to the library. Three names are for its other rooms: `state.CallState`, the door;
`turns.Conversation`, whose verbs name the events; and `text.SpokenText`. Pure: no Pipecat, no I/O.
"""
