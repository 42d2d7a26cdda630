//! The house rules that a program can read: which room uses which, how long a file is, why a lint is relaxed.

#[path = "house/files.rs"]
mod files;
mod harness;
#[path = "house/rooms.rs"]
mod rooms;
