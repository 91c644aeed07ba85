"""AWS Bedrock's Converse API, as the mesh speaks it to a provider. No app speaks it to the mesh."""
