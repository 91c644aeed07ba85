"""The Pykka actors: mailboxes around the parts below, one file for each actor."""
