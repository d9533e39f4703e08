# The commands of this repository. Each says what it is about to do, installs
# what is missing, and asks for sudo only for the part that needs root.

.PHONY: help run demo test bench package fmt

help:
	@echo 'make run     build Seawall and run it on this machine, in the foreground'
	@echo 'make demo    watch Seawall at work in network namespaces of its own; nothing of this machine is touched'
	@echo 'make test    run every check: format, lints, licences, unit, fuzz, end-to-end'
	@echo 'make bench   measure side by side with the baselines (BENCH="--quick" for a short form, "--peers" also beside OpenSnitch)'
	@echo 'make package build the Debian package: target/package/seawall_*.deb'
	@echo 'make fmt     format the source'

run:
	@scripts/run

demo:
	@scripts/demo $(DEMO)

test:
	@scripts/test

bench:
	@scripts/bench $(BENCH)

package:
	@scripts/package

fmt:
	cargo fmt --all
	cargo fmt --manifest-path tests/fuzz/Cargo.toml
	cargo fmt --manifest-path ebpf/Cargo.toml
