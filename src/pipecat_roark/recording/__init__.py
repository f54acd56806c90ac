"""The recording: every sample at its time, and where speech begins and ends.

Private to the library. `recorder.StereoRecorder` and `external.ExternalRecorder` stand in the
pipeline; they and the call know each other by the protocols of `listener`.
"""
