"""What the product is: jobs, recordings, storage, webhooks, billing. Imports nothing above it."""
