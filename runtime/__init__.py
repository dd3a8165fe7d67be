"""What every process shares: settings, clock, connections, event names, failpoints."""
