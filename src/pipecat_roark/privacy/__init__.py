"""What must not leave: pauses, redaction, consent, and kinds of content that nobody wants.

The gate asks this room. It decides about plain values: a report, and the audio of a recording.
"""
