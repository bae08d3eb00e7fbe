import boto3, json, sys
image, other, role, architecture = sys.argv[1:]
c = boto3.client("lambda")
made = c.create_function(FunctionName="boto-image", PackageType="Image", Code={"ImageUri": image}, Role=role, Architectures=[architecture],
                         Timeout=20, ImageConfig={"Command": ["boto.handler"]})
assert made["State"] == "Pending" and made["PackageType"] == "Image" and "Runtime" not in made and "Handler" not in made, made
assert made["ImageConfigResponse"]["ImageConfig"] == {"Command": ["boto.handler"]}, made
c.get_waiter("function_active_v2").wait(FunctionName="boto-image")
seen = json.load(c.invoke(FunctionName="boto-image", Payload=b"{}")["Payload"])
assert seen["version"] == "1" and seen["handler"] == "boto.handler", seen
c.update_function_code(FunctionName="boto-image", ImageUri=other)
c.get_waiter("function_updated_v2").wait(FunctionName="boto-image")
seen = json.load(c.invoke(FunctionName="boto-image", Payload=b"{}")["Payload"])
assert seen["version"] == "2", seen
code = c.get_function(FunctionName="boto-image")["Code"]
assert code["ImageUri"] == other and "@sha256:" in code["ResolvedImageUri"] and code["RepositoryType"] == "ECR", code
try:
    c.update_function_code(FunctionName="boto-image", ZipFile=b"x")
    raise SystemExit("a zip was taken")
except c.exceptions.InvalidParameterValueException as e:
    assert "Please provide ImageUri" in str(e), e
c.delete_function(FunctionName="boto-image")
