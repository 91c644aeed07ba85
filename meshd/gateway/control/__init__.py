"""The operations that `meshctl` and `client.mesh` call."""
