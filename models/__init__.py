"""What exists: tables, migrations, ledger commands, the state machine as data, queries."""
