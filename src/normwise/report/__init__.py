"""Pictures of networks, training runs and predictions; they draw what they are handed."""
