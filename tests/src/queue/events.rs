//! Events: taken in, and told on.
