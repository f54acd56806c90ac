"""The spool: calls that wait on disk until they are delivered.

Private to the library; the doors are `writer.SpoolWriter` and `folder`.
"""
