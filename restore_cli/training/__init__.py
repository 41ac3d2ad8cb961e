"""What a training is made of: recipe, pairs, objectives, optimizer and the state that survives a
kill.
"""
