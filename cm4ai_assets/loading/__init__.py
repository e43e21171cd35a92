"""Reading fields of view for training: pixels into memory that is there already, in batches, by threads.

Belongs here: everything between a published tensor and a model's input. Does not belong here: which fields to take
(`selecting`), how pixels were made (`images`), or what a store consists of (`storage.tensors`). Only `dataset` needs
torch.
"""
