//! The command line as its users and their scripts see it.

mod bench;
mod bench_report;
mod checkpoints;
mod classify;
mod command;
mod errors;
mod info;
mod layer;
mod onnx;
mod run;
mod train;
mod tuning;
mod verify;
mod weights;
