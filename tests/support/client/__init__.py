"""What tests of the client share: a scripted daemon, and short forms of calls."""
