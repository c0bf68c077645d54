//! Heddle used as people use it: the binary, a browser and HTTP clients, with
//! the real PostgreSQL and the real Odoo behind it. Nothing in here knows
//! Heddle's insides but where its data folder keeps a cell's socket.

pub mod bad_input;
pub mod bench;
pub mod chaos;
pub mod console;
pub mod faults;
pub mod figures;
pub mod full_disk;
pub mod history;
pub mod house;
pub mod isolation;
pub mod keep;
pub mod live;
pub mod load;
pub mod management;
pub mod memory;
pub mod peek;
pub mod platform;
pub mod queue;
pub mod readme;
pub mod repository;
pub mod routing;
pub mod rpc;
pub mod state;
pub mod table;
pub mod walk;
