"""The delivery: it sends a call to Roark, tries again what failed, and counts what is lost.

Private to the library. Other modules use `delivery.Delivery`, `client.RoarkClient` and `recovery`.
"""
