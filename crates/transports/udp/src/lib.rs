//! UDP transport with segmentation and receive offload.
