"""The exact cache, and requests that several apps share."""
