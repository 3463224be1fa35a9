//! The program: arguments in, an exit status out.

fn main() -> std::process::ExitCode {
    billhook::cli::main()
}
