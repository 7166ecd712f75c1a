"""What trainings share: loop, batches, optimization, checkpoints, losses, augmentation."""
