"""One bake in several processes, on one machine or more: what torchrun is told, and what it says.

The process that was asked starts torchrun, which starts the others. What each of those is given
lies in a folder of this user alone, and what they have to say comes back through it.
"""
