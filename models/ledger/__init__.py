"""The ledger's commands, the only door to its tables for anyone who moves a slot.

Every command takes a set and answers per slot. The statements themselves are the set functions of
``models/sql`` (docs/decisions/0001-ledger-commands.md says why); here they get names and types.
``worker`` is what workers say, ``beat`` what beats say, ``people`` what persons decide.
"""
