//! The web against a real control on a real PostgreSQL.

mod api;
mod console;
mod contract;
mod internal;
mod live;
mod openapi;
mod site;

#[path = "../../../database/tests/it/scratch.rs"]
#[allow(dead_code)]
mod scratch;
