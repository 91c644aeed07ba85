"""What `meshctl` and `client.mesh` ask of the daemon."""
