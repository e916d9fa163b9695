//! The one binary. Under the names `protector-api` and `protector-engine` it is these services.

mod commands;
mod sim;

use clap::Parser as _;

// An engine under load spends a seventh of its time in the allocator; this one halves that (docs/dependencies.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let arguments = commands::with_own_name(std::env::args_os());
    let command_line = commands::CommandLine::parse_from(arguments);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("protector: the runtime could not be started: {error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(command_line)) {
        Ok(code) => std::process::ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("protector: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
