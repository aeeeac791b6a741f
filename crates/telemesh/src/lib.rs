//! A private mesh network: encrypted links between endpoints that trust each other.
