"""What the gateway tells other actors: availability and limits, ended requests, shortages, clients."""
