"""Hosts, connections and repetition for all SQL servers."""
