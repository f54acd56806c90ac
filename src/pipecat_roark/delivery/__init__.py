"""The delivery: what has arrived at Roark, what is tried again, and what is lost.

Private to the library; the doors are `delivery.Delivery`, `client.RoarkClient` and `recovery`.
"""
