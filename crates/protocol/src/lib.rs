//! What Heddle's processes say to each other, as JSON over HTTP: the public
//! API ([`api`]) and what worker and router say to control ([`internal`]),
//! with a client for each.

pub mod api;
pub mod audit;
pub mod client;
pub mod internal;
pub mod people;
pub mod schema;
