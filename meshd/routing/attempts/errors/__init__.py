"""With what errors requests end, in words an app's developer can act on."""
