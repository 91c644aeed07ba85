"""The Pykka actors: mailboxes around the parts below, one file an actor."""
