//! Pairs and groups of meshes on a simulated network.
