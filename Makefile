# Each target is one line of the README; `make help` lists them.
#
# Stamps say what the environment has: what a node needs, what the checks need besides, and what fuzzing does. pip
# is run as the user configured it (index, certificates, wheels).
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
MESHNODE_DATA ?= $(CURDIR)/.mesh
export MESHNODE_DATA
# Bytecode is kept, where `clean` finds it, even if the environment forbids it: each process would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/build/pycache

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: setup
setup: $(VENV)/stamp-run  ## install what a node needs into .venv (instant when done)

$(VENV)/stamp-run: pyproject.toml
	@PYTHON='$(PYTHON)' sh deploy/venv.sh '$(VENV)'
	$(PY) -m pip install --quiet --editable .
	@touch $@

$(VENV)/stamp-dev: pyproject.toml $(VENV)/stamp-run
	$(PY) -m pip install --quiet --editable '.[dev]'
	@touch $@

$(VENV)/stamp-fuzz: pyproject.toml $(VENV)/stamp-dev
	$(PY) -m pip install --quiet --editable '.[fuzz]'
	@touch $@

.PHONY: up
up: setup  ## start a three-node cluster on loopback, ready to push to
	@$(PY) -m meshnode up --data '$(MESHNODE_DATA)' --detach

.PHONY: down
down: setup  ## stop it; data stays under .mesh (or $MESHNODE_DATA)
	@$(PY) -m meshnode down --data '$(MESHNODE_DATA)'

.PHONY: demo
demo: setup  ## the story, checked: push, kill a node, push, read everywhere, restart, heal
	@$(PY) -m tests.e2e.demo

.PHONY: demo-etcd
demo-etcd: setup  ## the same over a three-member etcd cluster
	@$(PY) -m tests.e2e.demo --catalog etcd

# Folders of few long files come first, so that no process has one left when the others are done.
FAST_TESTS := tests/sim tests/contract tests/crash/test_order.py tests/unit tests/fuzz tests/chaos

.PHONY: check
check: check-setup check-proto  ## format, lint, types, floors, generated code, fast tests (about three minutes on two cores)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(FAST_TESTS)

.PHONY: sim
sim: $(VENV)/stamp-dev  ## simulate: SEED=n tells one run's story, RUNS=n [START=m] [REPORT=file] counts many
	@$(PY) -m tests.sim.run $(if $(SEED),--seed $(SEED),--runs $(or $(RUNS),1000) --start $(or $(START),0)) \
		$(if $(REPORT),--report $(REPORT)) $(if $(SHRINK),--shrink $(SHRINK))

.PHONY: fuzz
fuzz: $(VENV)/stamp-fuzz  ## feed parsers what strangers send: TARGET=one (default all), MINUTES=each (default 1)
	@$(PY) -m tests.fuzz.run $(if $(TARGET),--target $(TARGET)) --minutes $(or $(MINUTES),1)

.PHONY: check-proto
check-proto: $(VENV)/stamp-dev
	@rm -rf build/proto-check && mkdir -p build/proto-check
	@cp -r proto meshnode Makefile build/proto-check/
	@cp pyproject.toml build/proto-check/
	@$(MAKE) --no-print-directory -s -C build/proto-check proto PY='$(abspath $(PY))' VENV='$(abspath $(VENV))' \
		-o '$(abspath $(VENV)/stamp-dev)' -o '$(abspath $(VENV)/stamp-run)'
	@diff -r -x __pycache__ meshnode build/proto-check/meshnode \
		|| { echo 'generated code is not current: run make proto' >&2; exit 1; }

.PHONY: check-setup
check-setup: $(VENV)/stamp-dev
	@sh tests/install-tools.sh check

.PHONY: test-setup
test-setup: $(VENV)/stamp-dev  ## install the programs the tests need (etcd, nginx, podman, grpcurl ...)
	@sh tests/install-tools.sh all

.PHONY: test
test: test-setup check  ## everything: check, end-to-end tests with real git, etcd and sockets, the demo
	$(PY) -m pytest -n 2 tests/crash
	$(PY) -m pytest tests/e2e
	$(PY) -m tests.e2e.demo

.PHONY: chaos
chaos: test-setup  ## real clusters under real faults (root): MINUTES=m [NODES=3|5] [SEED=n]; kept in chaos-results/
	@$(PY) -m tests.chaos.run --minutes $(or $(MINUTES),2) --nodes $(or $(NODES),3) $(if $(SEED),--seed $(SEED))

.PHONY: bench
bench: test-setup  ## measure against plain git side by side; tables here, JSON in bench-results/
	@$(PY) -m tests.bench.run

.PHONY: format
format: $(VENV)/stamp-dev  ## format the code and apply safe fixes
	$(VENV)/bin/ruff check --fix --exit-zero .
	$(VENV)/bin/ruff format .

.PHONY: proto
proto: $(VENV)/stamp-dev  ## regenerate meshnode/v1, client/services.py and catalog/etcd_v3 from proto/
	rm -rf build/proto && mkdir -p build/proto
	$(PY) -m grpc_tools.protoc -Iproto --python_out=build/proto --pyi_out=build/proto \
		--include_source_info --descriptor_set_out=build/proto/mesh.binpb proto/mesh/v1/*.proto
	sed -i -E 's/^from mesh\.v1 import/from meshnode.v1 import/' build/proto/mesh/v1/*.py build/proto/mesh/v1/*.pyi
	rm -f meshnode/v1/*_pb2.py meshnode/v1/*_pb2.pyi
	cp build/proto/mesh/v1/* meshnode/v1/
	$(PY) -m grpc_tools.protoc -Iproto/etcd --python_out=meshnode/catalog/etcd_v3 \
		--pyi_out=meshnode/catalog/etcd_v3 proto/etcd/*.proto
	PYTHONPATH=. $(PY) proto/client_services.py build/proto/mesh.binpb > build/proto/services.py
	$(VENV)/bin/ruff check --quiet --fix --select F401,I001 build/proto/services.py
	$(VENV)/bin/ruff format --quiet build/proto/services.py
	cp build/proto/services.py meshnode/client/services.py

.PHONY: clean
clean:  ## remove build results and caches (not .venv, not .mesh)
	rm -rf build bench-results chaos-results .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	find meshnode tests -name __pycache__ -type d -prune -exec rm -rf {} +
