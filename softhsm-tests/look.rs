//! What people look at before they approve: one thing beside another, a batch's outliers, a sample drawn by dice.

#[path = "look/batch.rs"]
mod batch;
#[path = "look/calendar.rs"]
mod calendar;
#[path = "look/difference.rs"]
mod difference;
#[path = "look/doctor.rs"]
mod doctor;
mod harness;
