module sidecar-conformance/node-image/pause

go 1.26.0
