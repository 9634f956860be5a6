//! The `doconv` command; see `doconv --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
