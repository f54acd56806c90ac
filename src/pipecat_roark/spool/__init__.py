"""The spool: calls that wait on disk until Roark has them.

Private to the library. Other modules use `spool.Spool`, `writer.SpoolWriter` and `folder`.
"""
