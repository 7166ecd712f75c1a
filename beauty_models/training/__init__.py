"""What trainings share: batches, optimization, checkpoints, losses, augmentation, masked language modelling."""
