"""PlayAuto 2.0: orders are read, tracking numbers stored and sent on to the marketplaces (docs/playauto.md).

Source of every fact: developers.playauto.io as two transcripts of 2026 give it, and working clients; what
none of them settles is a `Choices` where it is written and accepted in every form where it is read. There is
no idempotency key: a bundle's number is its own natural key, and /orders is what proves it.
"""
