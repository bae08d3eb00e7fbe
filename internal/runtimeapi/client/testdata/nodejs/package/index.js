export const handler = async () => "package module";
