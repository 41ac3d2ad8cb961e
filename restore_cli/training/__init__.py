"""Training: recipes, data, objectives, optimizers, and a state from which a training resumes."""
