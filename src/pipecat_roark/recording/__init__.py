"""The recording: what was heard, every sample at its time, and where speech begins and ends.

Private to the library; the doors are `recorder.StereoRecorder` and `external.ExternalRecorder`.
"""
