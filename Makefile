# Each target is one line of the README; `make help` lists them.
PY := .venv/bin/python

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: proto
proto:  ## regenerate meshnode/v1 from proto/
	rm -rf build/proto && mkdir -p build/proto
	$(PY) -m grpc_tools.protoc -Iproto --python_out=build/proto --pyi_out=build/proto proto/mesh/v1/*.proto
	sed -i -E 's/^from mesh\.v1 import/from meshnode.v1 import/' build/proto/mesh/v1/*.py build/proto/mesh/v1/*.pyi
	rm -f meshnode/v1/*_pb2.py meshnode/v1/*_pb2.pyi
	cp build/proto/mesh/v1/* meshnode/v1/
