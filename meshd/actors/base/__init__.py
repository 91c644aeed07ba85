"""What the actors are made of: a mailbox that survives a crash, timers, an event loop, answers that come later."""
